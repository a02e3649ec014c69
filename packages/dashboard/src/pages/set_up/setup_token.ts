/**
 * The setup token that a link of the terminal carries behind its `#`, where no server and no log sees it.
 *
 * @module
 */
let token: string | undefined;

/** Empty without one. It leaves the address at once. */
export function takeSetupToken(): string {
  if (token !== undefined) return token;
  token = new URLSearchParams(location.hash.slice(1)).get("token") ?? "";
  if (token !== "") history.replaceState(history.state, "", location.pathname + location.search);
  return token;
}
