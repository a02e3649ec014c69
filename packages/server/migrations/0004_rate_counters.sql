-- Counters of rate limits that several servers share. Unlogged: they are worth nothing after a crash.
create unlogged table fluxbase.rate_counters (
  key text primary key,
  count integer not null,
  ends_at timestamptz not null
);

create index rate_counters_ends_idx on fluxbase.rate_counters (ends_at);

-- Counts one call in all windows, or in none when one of them is full. Keys come sorted, so that two calls at once lock
-- rows in one order.
create function fluxbase.take_rate(keys text[], limits integer[], ends timestamptz[])
returns table (is_allowed boolean, counts integer[]) language plpgsql as $$
begin
  insert into fluxbase.rate_counters (key, count, ends_at)
    select k, 0, e from unnest(keys, ends) as t (k, e)
    on conflict (key) do nothing;
  perform 1 from fluxbase.rate_counters where key = any (keys) order by key for update;
  select bool_and(c.count < l) into is_allowed
    from unnest(keys, limits) as t (k, l) join fluxbase.rate_counters c on c.key = k;
  if is_allowed then
    update fluxbase.rate_counters set count = count + 1 where key = any (keys);
  end if;
  select array_agg(c.count order by n) into counts
    from unnest(keys) with ordinality as t (k, n) join fluxbase.rate_counters c on c.key = k;
  return next;
end
$$;
