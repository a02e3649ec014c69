/**
 * `fluxbase login`, `fluxbase logout` and `fluxbase setup`: who speaks with which server.
 *
 * @module
 */
import process from "node:process";
import { createClient, FluxbaseError } from "@fluxbase/sdk";
import type { Command } from "commander";
import { clientOf, withOptions } from "../action.ts";
import { readSecret, say } from "../output.ts";
import { keepProfile, profileStorage, urlOfNewProfile, UsageError } from "../connection.ts";

const SETUP_TOKEN = "FLUXBASE_SETUP_TOKEN";

export function addLogin(program: Command): void {
  program.command("login").description("Save a server and your credentials for later commands")
    .option("--email <address>", "sign in with a password instead of a key; the password comes from stdin or a prompt")
    .action(withOptions<{ email?: string }, []>(async (options) => {
      const { email, key, profile: name = "default" } = options;
      const url = urlOfNewProfile(options);
      if (email !== undefined) return await signIn({ url, name, email, password: await readSecret("Password: ") });
      const given = key ?? await readSecret("Key: ");
      if (given === "") throw new UsageError("No key given");
      await createClient(url, given).functions.list();
      say(`Logged in to ${url}; saved in ${keepProfile(name, { url, key: given })}`);
    }));

  program.command("logout").description("End the session of `fluxbase login --email`")
    .action(withOptions(async (options) => {
      const client = clientOf(options);
      if (await client.auth.getSession() === null) throw new UsageError("Nobody is signed in with --email");
      await client.auth.signOut();
      say("Signed out");
    }));

  program.command("setup").description("Create the first admin with the setup token that the server printed")
    .requiredOption("--email <address>", "email address of the admin; the password comes from stdin or a prompt")
    .option("--token <token>", `setup token (default: ${SETUP_TOKEN})`)
    .action(withOptions<{ email: string; token?: string }, []>(async (options) => {
      const { email, token = process.env[SETUP_TOKEN], profile: name = "default" } = options;
      if (!token) throw new UsageError(`No setup token: set ${SETUP_TOKEN}, or pass --token`);
      const url = urlOfNewProfile(options);
      const password = await readSecret("Password: ");
      await makeAdmin(url, { email, password, setup_token: token });
      await signIn({ url, name, email, password });
    }));
}

async function makeAdmin(url: string, body: object): Promise<void> {
  const response = await fetch(`${url.replace(/\/+$/, "")}/api/v1/admin/setup`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });
  if (response.ok) return await response.body?.cancel();
  const { error = response.statusText } = await response.json().catch(() => ({}));
  throw new Error(error);
}

async function signIn(
  { url, name, email, password }: { url: string; name: string; email: string; password: string },
): Promise<void> {
  const path = keepProfile(name, { url, session: {} });
  try {
    await createClient(url, undefined, { storage: profileStorage(name) }).auth.signIn({ email, password });
  } catch (error) {
    if (error instanceof FluxbaseError && error.status === 401) {
      throw new Error(`${email} cannot sign in: ${error.message}`);
    }
    throw error;
  }
  say(`Signed in to ${url} as ${email}; saved in ${path}`);
}
