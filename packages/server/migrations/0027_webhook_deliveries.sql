-- Deliveries of webhooks that were handled, or are being handled: a repeated one does not run again. `delivery` is a hash
-- of what names it. Unlogged would forget them in a crash, and so let a repeated one through.
create table fluxbase.webhook_deliveries (
  function_id uuid not null references fluxbase.functions (id) on delete cascade,
  delivery bytea not null,
  is_handled boolean not null default false,
  -- While it is being handled: when the server that does so must have died. After that: when it is forgotten.
  until timestamptz not null,
  primary key (function_id, delivery)
);

create index webhook_deliveries_until_idx on fluxbase.webhook_deliveries (until);
