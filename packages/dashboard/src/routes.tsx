/**
 * Every page and its address. A page is a folder below `pages/`, loaded when it is opened.
 *
 * @module
 */
import {
  createRootRoute,
  createRoute,
  createRouter,
  lazyRouteComponent,
  Outlet,
  redirect,
} from "@tanstack/react-router";
import { parseSearch, stringifySearch, textFilters } from "./parts/url_filters.ts";
import { ErrorState } from "./parts/states.tsx";
import { BASE_PATH } from "./server.ts";
import { session } from "./session/session.ts";
import { NotFound } from "./shell/not_found.tsx";
import { Shell } from "./shell/shell.tsx";

const root = createRootRoute({
  component: Outlet,
  notFoundComponent: NotFound,
  errorComponent: ({ error, reset }) => <ErrorState error={error} onRetry={reset} />,
});

const signIn = createRoute({
  getParentRoute: () => root,
  path: "sign-in",
  validateSearch: textFilters(["to"]),
  component: lazyRouteComponent(() => import("./pages/sign_in/sign_in_page.tsx"), "SignInPage"),
});

const setUp = createRoute({
  getParentRoute: () => root,
  path: "set-up",
  component: lazyRouteComponent(() => import("./pages/set_up/set_up_page.tsx"), "SetUpPage"),
});

/** For those who are signed in. */
const shell = createRoute({
  getParentRoute: () => root,
  id: "shell",
  component: Shell,
  notFoundComponent: NotFound,
  beforeLoad({ location }) {
    if (session.who !== null) return;
    throw redirect({ to: "/sign-in", search: location.href === "/" ? {} : { to: location.href } });
  },
});

const home = createRoute({
  getParentRoute: () => shell,
  path: "/",
  beforeLoad() {
    throw redirect({ to: "/functions" });
  },
});

const functions = createRoute({
  getParentRoute: () => shell,
  path: "functions",
  validateSearch: textFilters(["namespace", "text"]),
  component: lazyRouteComponent(() => import("./pages/functions/functions_page.tsx"), "FunctionsPage"),
});

    shell.addChildren([
      home,
      functions,
      newFunction,
      fn.addChildren([fnHome, fnCode, fnLogs, fnExecutions, fnExecution, fnMetrics, fnVersions, fnSettings]),
      keys,
      secrets,
      users,
    ]),
  basepath: BASE_PATH,
  defaultPreload: "intent",
  scrollRestoration: true,
  parseSearch,
  stringifySearch,
});

declare module "@tanstack/react-router" {
  interface Register {
    router: typeof router;
  }
}
