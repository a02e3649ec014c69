-- Requests that are kept so that they can be run again; what is in them is sealed.
create table fluxbase.execution_captures (
  execution_id text primary key,
  function_id uuid not null references fluxbase.functions (id) on delete cascade,
  started_at timestamptz not null,
  sealed bytea not null,
  bytes integer not null
);
create index execution_captures_function on fluxbase.execution_captures (function_id, started_at desc);

-- The execution that made a task.
alter table fluxbase.tasks add column parent_id text;
create index tasks_parent on fluxbase.tasks (parent_id) where parent_id is not null;

-- What somebody wants to be told of, and where each stands. A rule is evaluated by whichever server locks its row first.
create table fluxbase.alert_rules (
  id uuid primary key default gen_random_uuid(),
  name text not null unique,
  metric text not null,
  threshold double precision not null,
  -- Null: of all.
  namespace text,
  function_name text,
  window_sec integer not null,
  -- It fires when it has been over for so long, and is resolved when it has not been for as long.
  for_sec integer not null,
  -- Of fewer calls nothing is said.
  min_calls integer not null,
  -- Who is told: a function as namespace/name, or a URL, which is sealed since it may be a secret.
  target_function text,
  target_url bytea,
  state text not null default 'ok' check (state in ('ok', 'firing')),
  -- Since then it has been on the other side of the threshold than its state says.
  turning_since timestamptz,
  changed_at timestamptz,
  value double precision,
  evaluated_at timestamptz,
  created_at timestamptz not null default now(),
  created_by text
);

-- Changes that URLs are told of; functions are told by tasks.
create table fluxbase.alert_deliveries (
  id uuid primary key default gen_random_uuid(),
  rule_id uuid not null references fluxbase.alert_rules (id) on delete cascade,
  body jsonb not null,
  attempts integer not null default 0,
  run_at timestamptz not null default now(),
  error text,
  created_at timestamptz not null default now()
);
create index alert_deliveries_due on fluxbase.alert_deliveries (run_at);
