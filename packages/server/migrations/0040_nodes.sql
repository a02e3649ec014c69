-- Servers that share this database, as each says of itself every few seconds.
create table fluxbase.nodes (
  id uuid primary key,
  name text not null,
  version text not null,
  started_at timestamptz not null default now(),
  seen_at timestamptz not null default now(),
  load jsonb not null
);

-- What only one of them does. Times are the database's.
create table fluxbase.leases (
  name text primary key,
  node_id uuid not null,
  node_name text not null,
  -- A server that starts again in the same place need not wait for the end of what it held before.
  place text not null,
  since timestamptz not null default now(),
  until timestamptz not null
);
