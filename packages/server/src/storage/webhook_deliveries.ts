/**
 * Statements about deliveries of webhooks.
 *
 * @module
 */
import { sql } from "kysely";
import type { Db } from "./db.ts";

export interface DeliveryNames {
  readonly functionId: string;
  /** Hashes; sorted, so that two servers lock rows in one order. */
  readonly names: readonly Uint8Array[];
}

/** "taken": it is the caller's to handle. "running": another one handles it now. "handled": it was. */
export type DeliveryState = "taken" | "running" | "handled";

export async function takeDelivery(
  db: Db,
  { functionId, names }: DeliveryNames,
  { forSec }: { readonly forSec: number },
): Promise<DeliveryState> {
  const { rows: known } = await sql<{ isHandled: boolean }>`
    select is_handled as "isHandled" from fluxbase.webhook_deliveries
     where function_id = ${functionId} and delivery = any (${names}::bytea[]) and until > now()`.execute(db);
  if (known.some(({ isHandled }) => isHandled)) return "handled";
  if (known.length > 0) return "running";
  // Of two at once, one finds the other's row here; what the loser has taken besides ends with its time.
  const { numAffectedRows = 0n } = await sql`
    insert into fluxbase.webhook_deliveries as known (function_id, delivery, until)
    select ${functionId}, name, now() + make_interval(secs => ${forSec}) from unnest(${names}::bytea[]) as name
    on conflict (function_id, delivery) do update set is_handled = false, until = excluded.until
     where known.until <= now()`.execute(db);
  return numAffectedRows === BigInt(names.length) ? "taken" : "running";
}

export async function keepDelivery(
  db: Db,
  { functionId, names }: DeliveryNames,
  { forDays }: { readonly forDays: number },
): Promise<void> {
  await sql`
    update fluxbase.webhook_deliveries set is_handled = true, until = now() + make_interval(days => ${forDays})
     where function_id = ${functionId} and delivery = any (${names}::bytea[])`.execute(db);
}

/** It was not handled: the next one may. */
export async function dropDelivery(db: Db, { functionId, names }: DeliveryNames): Promise<void> {
  await sql`
    delete from fluxbase.webhook_deliveries
     where function_id = ${functionId} and delivery = any (${names}::bytea[]) and not is_handled`.execute(db);
}

export async function dropOldDeliveries(db: Db): Promise<number> {
  const { numAffectedRows = 0n } = await sql`delete from fluxbase.webhook_deliveries where until < now()`.execute(db);
  return Number(numAffectedRows);
}
