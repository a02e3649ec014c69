/** Starts the API reference on the document of this server; nothing is asked of anybody else. */
globalThis.Scalar.createApiReference("#reference", {
  url: "../openapi.json",
  withDefaultFonts: false,
  telemetry: false,
  hideClientButton: true,
  showDeveloperTools: "never",
  agent: { disabled: true },
  mcp: { disabled: true },
  defaultHttpClient: { targetKey: "shell", clientKey: "curl" },
});
