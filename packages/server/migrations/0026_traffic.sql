-- A second version that gets a share of the calls over HTTP, so that it is tried before it is live.
alter table fluxbase.functions
  add column canary_version integer,
  add column canary_percent smallint check (canary_percent between 1 and 99),
  add check ((canary_version is null) = (canary_percent is null));
