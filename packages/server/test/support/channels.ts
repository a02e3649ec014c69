/**
 * What servers listen for, as whoever floods them would name it.
 *
 * @module
 */
export const CHANNELS = [
  "fluxbase_functions",
  "fluxbase_secrets",
  "fluxbase_sessions",
  "fluxbase_keys",
  "fluxbase_schema",
  "pgrst",
];
