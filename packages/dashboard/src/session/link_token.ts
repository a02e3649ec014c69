/**
 * The token that a link of the terminal carries behind its `#`, where no server and no log sees it: the setup token, or
 * one that signs in once.
 *
 * @module
 */
let token: string | undefined;

/** Empty without one. It leaves the address at once. */
export function takeLinkToken(): string {
  if (token !== undefined) return token;
  token = new URLSearchParams(location.hash.slice(1)).get("token") ?? "";
  if (token !== "") history.replaceState(history.state, "", location.pathname + location.search);
  return token;
}

export function forgetLinkToken(): void {
  token = "";
}
