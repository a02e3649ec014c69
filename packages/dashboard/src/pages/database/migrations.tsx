/**
 * The migrations that have run.
 *
 * @module
 */
import { FileClock } from "lucide-react";
import { EmptyState } from "../../parts/states.tsx";
import { PagedTable } from "../../parts/table.tsx";
import { exactTime } from "../../parts/time.tsx";
import { useWholeList } from "../../parts/whole_list.ts";

interface Migration {
  readonly name: string;
  readonly checksum: string;
  readonly applied_at: string;
}

const COLUMNS = [{ name: "Name" }, { name: "Ran" }, { name: "Checksum" }];
/** No migration has run where the table is not there. */
const EXISTS = "select to_regclass('fluxbase_migrations') is not null as there";
const MIGRATIONS = "select name, checksum, applied_at from fluxbase_migrations order by name desc";

export function Migrations() {
  const pages = useWholeList<Migration>({
    queryKey: ["migrations"],
    read: async ({ admin: { database } }) => {
      const { rows } = await database.query(EXISTS);
      if (rows[0]?.["there"] !== true) return [];
      return (await database.query(MIGRATIONS)).rows as unknown as Migration[];
    },
  });
  return (
    <PagedTable
      label="Migrations"
      columns={COLUMNS}
      pages={pages}
      empty={
        <EmptyState icon={FileClock} title="No migration has run yet">
          Write one with <code>fluxbase db migrations new</code>, and run it with <code>fluxbase db migrate</code>.
        </EmptyState>
      }
      row={({ name, checksum, applied_at }) => (
        <tr key={name}>
          <td className="cell-main">{name}</td>
          <td className="nowrap">{exactTime(applied_at)}</td>
          <td>
            <code className="muted">{checksum.slice(0, 12)}</code>
          </td>
        </tr>
      )}
    />
  );
}
