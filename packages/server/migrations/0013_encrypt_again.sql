-- What is encrypted may be encrypted again under another key; nothing else of a version ever changes.
drop trigger versions_are_immutable on fluxbase.versions;

create trigger versions_are_immutable before update on fluxbase.versions
  for each row
  when (to_jsonb(new) - 'env_sealed' is distinct from to_jsonb(old) - 'env_sealed'
    or (new.env_sealed is null) is distinct from (old.env_sealed is null))
  execute function fluxbase.refuse_update();
