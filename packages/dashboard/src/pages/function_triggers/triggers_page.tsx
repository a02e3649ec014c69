/**
 * Main task: see what calls the function, when it is called next, and call it now.
 *
 * @module
 */
import { useQuery } from "@tanstack/react-query";
import { useParams } from "@tanstack/react-router";
import { functionQuery } from "../../data/functions.ts";
import { useClient, useWho } from "../../session/use_session.ts";
import { Address } from "./address.tsx";
import { Hooks } from "./hooks.tsx";
import { Schedules } from "./schedules.tsx";
import { Verification } from "./verification.tsx";

export function TriggersPage() {
  const place = useParams({ from: "/shell/functions/$namespace/$name" });
  const isAdmin = useWho()?.kind === "admin";
  const fn = useQuery(functionQuery(useClient(), place)).data;
  if (fn === undefined) return null;
  return (
    <div className="page">
      <Address fn={fn} />
      <Verification fn={fn} />
      <Schedules fn={fn} />
      {isAdmin && <Hooks fn={fn} />}
    </div>
  );
}
