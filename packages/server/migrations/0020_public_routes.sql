-- Public paths that live versions have of their own (settings.routes): here so that each has one owner, whichever
-- deployment, rollback or restoration makes a version live.
create table fluxbase.public_routes (
  path text not null,
  -- '*' stands for every method.
  method text not null,
  function_id uuid not null references fluxbase.functions (id) on delete cascade,
  primary key (path, method)
);

create index public_routes_function on fluxbase.public_routes (function_id);

create function fluxbase.keep_public_routes() returns trigger language plpgsql as $$
begin
  delete from fluxbase.public_routes where function_id = new.id;
  if new.deleted_at is null then
    insert into fluxbase.public_routes (method, path, function_id)
    select split_part(route, ' ', 1), split_part(route, ' ', 2), new.id
    from fluxbase.versions v, jsonb_array_elements_text(v.settings -> 'routes') as route
    where v.function_id = new.id and v.number = new.live_version
    order by 2, 1;
  end if;
  return null;
end
$$;

create trigger functions_keep_routes after update of live_version, deleted_at on fluxbase.functions
  for each row
  when (old.live_version is distinct from new.live_version or old.deleted_at is distinct from new.deleted_at)
  execute function fluxbase.keep_public_routes();
