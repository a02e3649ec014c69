-- Of the trace that an execution belongs to (traceparent); null where nobody traced it.
alter table fluxbase.executions add column trace_id text;
create index executions_trace_idx on fluxbase.executions (trace_id, started_at desc) where trace_id is not null;
