-- Indexes for the questions that are asked about executions and log lines, each in the order in which answers are shown.
-- What failed is rare among what did not, so it has indexes of its own.
create index executions_version_idx on fluxbase.executions (function_id, version, started_at desc);
create index executions_namespace_idx on fluxbase.executions (namespace, started_at desc);
create index executions_name_idx on fluxbase.executions (function_name, started_at desc);
create index executions_user_idx on fluxbase.executions (user_id, started_at desc) where user_id is not null;
create index executions_failed_idx on fluxbase.executions (started_at desc) where status <> 'success';
create index executions_function_failed_idx on fluxbase.executions (function_id, started_at desc) where status <> 'success';
create index executions_code_idx on fluxbase.executions (error_code, started_at desc) where error_code is not null;
create index executions_status_code_idx on fluxbase.executions (status_code, started_at desc);

create index execution_logs_time_idx on fluxbase.execution_logs (logged_at desc);
create index execution_logs_severe_idx on fluxbase.execution_logs (logged_at desc) where level in ('warn', 'error');
create index execution_logs_function_severe_idx on fluxbase.execution_logs (function_id, logged_at desc)
  where level in ('warn', 'error');

-- For words in messages. Without the extension, which not every Postgres has and not every role may create, they are
-- looked for line by line.
do $$
declare
  place text;
begin
  begin
    create extension if not exists pg_trgm schema fluxbase;
  exception when others then
    raise notice 'pg_trgm is not there: %', sqlerrm;
  end;
  select nspname into place from pg_extension join pg_namespace n on n.oid = extnamespace where extname = 'pg_trgm';
  if place is null then
    return;
  end if;
  execute format(
    'create index execution_logs_text_idx on fluxbase.execution_logs using gin (message %I.gin_trgm_ops)', place);
  execute format(
    'create index executions_text_idx on fluxbase.executions using gin (error_message %I.gin_trgm_ops)
       where error_message is not null', place);
end
$$;
