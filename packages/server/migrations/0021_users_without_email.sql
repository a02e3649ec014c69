-- Users who have not said who they are (anonymous sign-in), and users whom an admin has made without a password.
alter table fluxbase.users
  add column is_anonymous boolean not null default false,
  alter column email drop not null,
  alter column password_hash drop not null;
alter table fluxbase.users add check (is_anonymous or email is not null);
