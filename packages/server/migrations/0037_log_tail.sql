-- Lines of log are followed batch by batch: `seq` of a batch that has some is on each of them. In the order of commits
-- nothing is counted, so whoever follows remembers which batches it has seen.
create sequence fluxbase.log_batch_seq;
alter table fluxbase.execution_batches add column seq bigint;
alter table fluxbase.execution_logs add column batch_seq bigint;
create index execution_logs_batch_idx on fluxbase.execution_logs (batch_seq) where batch_seq is not null;

-- Who follows, on whichever server: there is a limit to how many do. One that was not seen for a while is gone.
create table fluxbase.log_followers (
  id uuid primary key,
  -- The credential.
  who text not null,
  node text not null,
  seen_at timestamptz not null default now()
);

alter table fluxbase.executions
  -- More of what happened, for whoever looks at one; packages/server/src/storage/executions.ts has the names.
  add column details jsonb,
  -- The execution that called the platform and so made this one.
  add column parent_id text;
create index executions_parent_idx on fluxbase.executions (parent_id) where parent_id is not null;
