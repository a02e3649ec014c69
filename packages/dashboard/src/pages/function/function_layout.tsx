/**
 * What all pages of one function stand in: its name, how it is, and the way from one to the other.
 *
 * @module
 */
import { useQuery } from "@tanstack/react-query";
import { Link, Outlet, useParams } from "@tanstack/react-router";
import { ChevronRight } from "lucide-react";
import { functionQuery } from "../../data/functions.ts";
import { Badge } from "../../parts/badge.tsx";
import { useTitle } from "../../parts/page.tsx";
import { ErrorState, Skeleton } from "../../parts/states.tsx";
import { useClient } from "../../session/use_session.ts";
import { VersionBadge } from "../functions/version_badge.tsx";
import { FUNCTION_TABS } from "./tabs.ts";
import "./function.css";

export function FunctionLayout() {
  const place = useParams({ from: "/shell/functions/$namespace/$name" });
  const fn = useQuery(functionQuery(useClient(), place));
  useTitle(place.name);
  return (
    <div className="function">
      <div className="function-head">
        <div className="page-head">
          <h1 className="row">
            <Link className="crumb" to="/functions">Functions</Link>
            <ChevronRight className="icon muted" aria-hidden />
            <span className="break">
              {place.namespace !== "default" && <span className="muted">{place.namespace}/</span>}
              {place.name}
            </span>
          </h1>
          {fn.data && <VersionBadge fn={fn.data} />}
          {fn.data?.enabled === false && <Badge tone="warn">disabled</Badge>}
        </div>
        <nav className="tabs" aria-label="Function">
          {FUNCTION_TABS.map(({ to, text }) => <Link key={to} className="tab" to={to} params={place}>{text}</Link>)}
        </nav>
      </div>
      {fn.error && fn.data === undefined
        ? <ErrorState error={fn.error} onRetry={() => void fn.refetch()} />
        : fn.data === undefined
        ? (
          <div className="page">
            <Skeleton />
          </div>
        )
        : <Outlet key={`${place.namespace}/${place.name}`} />}
    </div>
  );
}
