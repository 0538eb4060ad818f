-- Sign-in: no role reads these tables but through functions. Row security without a policy shows no
-- row even if a grant is added by mistake.

alter table auth.jwt_secret enable row level security;
alter table auth.sessions enable row level security;
alter table auth.refresh_tokens enable row level security;
alter table auth.login_attempts enable row level security;
alter table auth.sign_in_links enable row level security;
alter table auth.password_codes enable row level security;
