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
    throw redirect({ to: session.who?.kind === "admin" ? "/overview" : "/functions" });
  },
});

const functions = createRoute({
  getParentRoute: () => shell,
  path: "functions",
  validateSearch: textFilters(["namespace", "text"]),
  component: lazyRouteComponent(() => import("./pages/functions/functions_page.tsx"), "FunctionsPage"),
});

const newFunction = createRoute({
  getParentRoute: () => shell,
  path: "functions/new",
  component: lazyRouteComponent(() => import("./pages/new_function/new_function_page.tsx"), "NewFunctionPage"),
});

const fn = createRoute({
  getParentRoute: () => shell,
  path: "functions/$namespace/$name",
  component: lazyRouteComponent(() => import("./pages/function/function_layout.tsx"), "FunctionLayout"),
});

const fnHome = createRoute({
  getParentRoute: () => fn,
  path: "/",
  beforeLoad({ params }) {
    throw redirect({ to: "/functions/$namespace/$name/code", params });
  },
});

const fnCode = createRoute({
  getParentRoute: () => fn,
  path: "code",
  component: lazyRouteComponent(() => import("./pages/function_code/code_page.tsx"), "CodePage"),
});

const fnLogs = createRoute({
  getParentRoute: () => fn,
  path: "logs",
  validateSearch: textFilters(["level", "text"]),
  component: lazyRouteComponent(() => import("./pages/function_logs/logs_page.tsx"), "LogsPage"),
});

const fnExecutions = createRoute({
  getParentRoute: () => fn,
  path: "executions",
  validateSearch: textFilters(["status", "text", "version", "code", "hours", "captured"]),
  component: lazyRouteComponent(() => import("./pages/function_executions/executions_page.tsx"), "ExecutionsPage"),
});

const fnExecution = createRoute({
  getParentRoute: () => fn,
  path: "executions/$id",
  component: lazyRouteComponent(() => import("./pages/function_executions/execution_page.tsx"), "ExecutionPage"),
});

const fnMetrics = createRoute({
  getParentRoute: () => fn,
  path: "metrics",
  validateSearch: textFilters(["range", "by"]),
  component: lazyRouteComponent(() => import("./pages/function_metrics/metrics_page.tsx"), "MetricsPage"),
});

const fnVersions = createRoute({
  getParentRoute: () => fn,
  path: "versions",
  validateSearch: textFilters(["from", "to"]),
  component: lazyRouteComponent(() => import("./pages/function_versions/versions_page.tsx"), "VersionsPage"),
});

const fnTriggers = createRoute({
  getParentRoute: () => fn,
  path: "triggers",
  component: lazyRouteComponent(() => import("./pages/function_triggers/triggers_page.tsx"), "TriggersPage"),
});

const fnSettings = createRoute({
  getParentRoute: () => fn,
  path: "settings",
  component: lazyRouteComponent(() => import("./pages/function_settings/settings_page.tsx"), "SettingsPage"),
});

const keys = createRoute({
  getParentRoute: () => shell,
  path: "keys",
  validateSearch: textFilters(["kind", "text"]),
  component: lazyRouteComponent(() => import("./pages/keys/keys_page.tsx"), "KeysPage"),
});

const secrets = createRoute({
  getParentRoute: () => shell,
  path: "secrets",
  validateSearch: textFilters(["text", "tab"]),
  component: lazyRouteComponent(() => import("./pages/secrets/secrets_page.tsx"), "SecretsPage"),
});

const users = createRoute({
  getParentRoute: () => shell,
  path: "users",
  validateSearch: textFilters(["text", "role"]),
  component: lazyRouteComponent(() => import("./pages/users/users_page.tsx"), "UsersPage"),
});

const overview = createRoute({
  getParentRoute: () => shell,
  path: "overview",
  validateSearch: textFilters(["range"]),
  component: lazyRouteComponent(() => import("./pages/overview/overview_page.tsx"), "OverviewPage"),
});

const tasks = createRoute({
  getParentRoute: () => shell,
  path: "tasks",
  validateSearch: textFilters(["state", "function"]),
  component: lazyRouteComponent(() => import("./pages/tasks/tasks_page.tsx"), "TasksPage"),
});

const audit = createRoute({
  getParentRoute: () => shell,
  path: "audit",
  validateSearch: textFilters(["target", "actor", "action", "code"]),
  component: lazyRouteComponent(() => import("./pages/audit/audit_page.tsx"), "AuditPage"),
});

const system = createRoute({
  getParentRoute: () => shell,
  path: "system",
  validateSearch: textFilters(["text"]),
  component: lazyRouteComponent(() => import("./pages/system/system_page.tsx"), "SystemPage"),
});

const shared = createRoute({
  getParentRoute: () => shell,
  path: "shared",
  validateSearch: textFilters(["namespace", "path"]),
  component: lazyRouteComponent(() => import("./pages/shared/shared_page.tsx"), "SharedPage"),
});

const database = createRoute({
  getParentRoute: () => shell,
  path: "database",
  validateSearch: textFilters(["tab", "table"]),
  component: lazyRouteComponent(() => import("./pages/database/database_page.tsx"), "DatabasePage"),
});

export const router = createRouter({
  routeTree: root.addChildren([
    signIn,
    setUp,
    shell.addChildren([
      home,
      functions,
      newFunction,
      fn.addChildren([
        fnHome,
        fnCode,
        fnLogs,
        fnExecutions,
        fnExecution,
        fnMetrics,
        fnVersions,
        fnTriggers,
        fnSettings,
      ]),
      overview,
      tasks,
      audit,
      system,
      database,
      shared,
      keys,
      secrets,
      users,
    ]),
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
