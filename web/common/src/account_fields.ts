interface AccountField {
  type: "text" | "email" | "password";
  /** What browsers and password managers fill in. */
  autoComplete: string;
  minLength?: number;
}

/** Fields of the forms about an account, as the hub requires them and as browsers know them. */
export const ACCOUNT_FIELDS: Record<"email" | "password" | "newPassword" | "code", AccountField> = {
  email: { type: "email", autoComplete: "username" },
  password: { type: "password", autoComplete: "current-password" },
  newPassword: { type: "password", autoComplete: "new-password", minLength: 10 },
  code: { type: "text", autoComplete: "one-time-code" },
};
