/**
 * The pages of a function, in their order.
 *
 * @module
 */
export const FUNCTION_TABS = [
  { to: "/functions/$namespace/$name/code", text: "Code" },
  { to: "/functions/$namespace/$name/logs", text: "Logs" },
  { to: "/functions/$namespace/$name/executions", text: "Executions" },
  { to: "/functions/$namespace/$name/metrics", text: "Metrics" },
  { to: "/functions/$namespace/$name/versions", text: "Versions" },
  { to: "/functions/$namespace/$name/triggers", text: "Triggers" },
  { to: "/functions/$namespace/$name/settings", text: "Settings" },
] as const;
