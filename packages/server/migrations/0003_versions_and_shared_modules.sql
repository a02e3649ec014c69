-- Where the settings of a version come from, what it was built from, which version is the one that a change starts
-- from; shared modules.

-- What the API has set, as it was sent; null for versions from before, where that is not known.
alter table fluxbase.versions add column given jsonb;
-- What annotations in the source say, in the same words.
alter table fluxbase.versions add column annotations jsonb not null default '{}';
-- Sentences for the author.
alter table fluxbase.versions add column warnings jsonb not null default '[]';
-- Shared modules in the bundle and the import map: {path: hash of what it was built with}.
alter table fluxbase.versions add column dependencies jsonb not null default '{}';

-- The version that is shown and changed: the latest one, or the one that was rolled back to.
alter table fluxbase.functions add column current_version integer not null default 0;
update fluxbase.functions set current_version = latest_version;

create table fluxbase.shared_modules (
  id uuid primary key default gen_random_uuid(),
  namespace text not null,
  module_path text not null,
  description text,
  source text not null check (source in ('api', 'filesystem', 'dashboard')),
  content text not null,
  content_hash text not null,
  version integer not null default 1,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  created_by text,
  unique (namespace, module_path)
);

-- What it was before: every version, the current one too.
create table fluxbase.shared_module_versions (
  module_id uuid not null references fluxbase.shared_modules (id) on delete cascade,
  version integer not null check (version > 0),
  content text not null,
  created_at timestamptz not null default now(),
  created_by text,
  primary key (module_id, version)
);
