/**
 * Every setting of the server with its source: only those who run it can change them.
 *
 * @module
 */
import type { ServerSetting } from "@fluxbase/sdk";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { Badge } from "../../parts/badge.tsx";
import { SearchField } from "../../parts/field.tsx";
import { NothingFits } from "../../parts/states.tsx";
import { PagedTable } from "../../parts/table.tsx";
import { useWholeList } from "../../parts/whole_list.ts";

const COLUMNS = [{ name: "Setting" }, { name: "Value" }, { name: "Source" }];
const SOURCES = { environment: "environment", file: "fluxbase.yaml", default: "default" } as const;

export function Settings() {
  const { text } = useSearch({ from: "/shell/system" });
  const navigate = useNavigate({ from: "/system" });
  const wanted = text?.toLowerCase();
  const pages = useWholeList<ServerSetting>({
    queryKey: ["config"],
    read: async ({ admin }) => {
      const all = await admin.config.list();
      const isGiven = ({ source }: ServerSetting) => source !== "default";
      return [...all.filter(isGiven), ...all.filter((one) => !isGiven(one))];
    },
    keep: ({ name, yaml, about }) =>
      wanted === undefined || [name, yaml, about].some((one) => one.toLowerCase().includes(wanted)),
  });
  return (
    <>
      <div className="filters">
        <h2>Settings of this server</h2>
        <span className="spread" />
        <SearchField
          label="Search settings"
          value={text ?? ""}
          onChange={(value) => void navigate({ search: { text: value }, replace: true })}
        />
      </div>
      <PagedTable
        label="Settings"
        columns={COLUMNS}
        pages={pages}
        empty={<NothingFits what="setting" />}
        row={({ name, value, default: byDefault, source, is_secret, about, expected }) => (
          <tr key={name}>
            <td className="cell-wide">
              <div className="cell-main mono">{name}</div>
              <div className="cell-about">{about} It must be {expected}.</div>
            </td>
            <td className="mono break">
              {is_secret
                ? <span className="muted">{source === "default" ? "not set" : "hidden"}</span>
                : value ?? <span className="muted">not set</span>}
            </td>
            <td className="nowrap">
              {source === "default" ? <span className="muted">default</span> : (
                <>
                  <Badge tone="accent">{SOURCES[source]}</Badge>
                  {!is_secret && <div className="cell-about">default: {byDefault ?? "not set"}</div>}
                </>
              )}
            </td>
          </tr>
        )}
      />
    </>
  );
}
