-- A secret of the server may be for functions of some namespaces only, sorted by name; null: for all. One name may stand
-- for a secret in each set of namespaces, so that whoever keeps secrets of one namespace learns nothing of others.
alter table fluxbase.secrets add column namespaces text[];
alter table fluxbase.secrets add check (namespaces is null or (user_id = '' and cardinality(namespaces) > 0));
alter table fluxbase.secrets drop constraint secrets_user_id_key_key;

create unique index secrets_place on fluxbase.secrets (user_id, key, namespaces) nulls not distinct;
