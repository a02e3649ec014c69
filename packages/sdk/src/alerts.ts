/**
 * Alerts: somebody is told when a figure has been over its threshold for a while.
 *
 * @module
 */
import type { Alert, AlertTest, NewAlert } from "@fluxbase/contract";
import type { Http } from "./http.ts";

const ALERTS = "/api/v1/admin/alerts";

export class AlertsClient {
  readonly #http: Http;

  constructor(http: Http) {
    this.#http = http;
  }

  async list(): Promise<Alert[]> {
    return (await this.#http.request<{ alerts: Alert[] }>("GET", ALERTS)).alerts;
  }

  async add(alert: NewAlert): Promise<Alert> {
    return await this.#http.request("POST", ALERTS, { body: alert });
  }

  async remove(name: string): Promise<void> {
    await this.#http.request("DELETE", `${ALERTS}/${encodeURIComponent(name)}`);
  }

  /** Tells whoever it tells, now. */
  async test(name: string): Promise<AlertTest> {
    return await this.#http.request("POST", `${ALERTS}/${encodeURIComponent(name)}/test`);
  }
}
