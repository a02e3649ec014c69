-- Executions have ids that the server makes; the id that a client brought with its request stands beside it.
alter table fluxbase.executions add column request_id text;

create index executions_request_idx on fluxbase.executions (request_id) where request_id is not null;
