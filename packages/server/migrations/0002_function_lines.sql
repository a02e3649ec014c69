-- Lines that a function writes outside any request, at its top level or after its answers, belong to no execution.

alter table fluxbase.execution_logs alter column execution_id drop not null;
