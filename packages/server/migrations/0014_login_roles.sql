-- Passwords of the roles that the server makes for itself, encrypted.
create table fluxbase.login_roles (
  name text primary key,
  sealed bytea not null
);
