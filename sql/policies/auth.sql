-- Sign-in is reached through functions only: row security without a policy shows nothing, should a grant slip in.

alter table auth.jwt_secret enable row level security;
alter table auth.sessions enable row level security;
alter table auth.refresh_tokens enable row level security;
alter table auth.login_attempts enable row level security;
alter table auth.sign_in_links enable row level security;
