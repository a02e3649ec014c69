/**
 * Starts the dashboard in the page.
 *
 * @module
 */
import { FluxbaseError } from "@fluxbase/sdk";
import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { RouterProvider } from "@tanstack/react-router";
import { setNonce } from "get-nonce";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { showTips } from "./parts/tips.ts";
import { takeLinkToken } from "./session/link_token.ts";
import { Toasts } from "./parts/toasts.tsx";
import { router } from "./routes.tsx";
import { STYLE_NONCE } from "./server.ts";
import { session } from "./session/session.ts";
import { theme } from "./shell/theme.ts";
import "./styles/tokens.css";
import "./styles/base.css";
import "./styles/controls.css";
import "./styles/data.css";

const FRESH_MS = 5_000;

const queries = new QueryClient({
  defaultOptions: {
    queries: {
      staleTime: FRESH_MS,
      // The SDK has tried again already.
      retry: false,
    },
  },
});

async function start(): Promise<void> {
  // Before anything can keep the address.
  takeLinkToken();
  theme.apply();
  showTips();
  setNonce(STYLE_NONCE);
  await session.restore();
  session.subscribe(() => {
    // What one has seen is not for the next, nor what one was refused.
    queries.clear();
    void router.invalidate();
  });
  queries.getQueryCache().subscribe((event) => {
    if (event.type !== "updated" || event.action.type !== "error") return;
    const { error } = event.action;
    // The answer to a request of before may come when somebody else is there already.
    if (error instanceof FluxbaseError && error.status === 401 && session.who !== null) void session.signOut();
  });
  const place = document.getElementById("root");
  if (place === null) return;
  createRoot(place).render(
    <StrictMode>
      <QueryClientProvider client={queries}>
        <RouterProvider router={router} />
        <Toasts />
      </QueryClientProvider>
    </StrictMode>,
  );
}

void start();
