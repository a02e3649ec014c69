-- A user who is disabled cannot sign in, and their keys are refused; everything else about them stays.
alter table fluxbase.users add column disabled_at timestamptz;

drop trigger users_notify_keys on fluxbase.users;

create trigger users_notify_keys after update of email, role, disabled_at on fluxbase.users
  for each row when (
    old.email is distinct from new.email or old.role is distinct from new.role
    or old.disabled_at is distinct from new.disabled_at
  )
  execute function fluxbase.notify_keys_of_user();
