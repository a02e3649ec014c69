/**
 * `fluxbase service …`: the server of this machine as a service of systemd.
 *
 * @module
 */
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import process from "node:process";
import type { Command } from "commander";
import { withOptions } from "../action.ts";
import { print, say, warn } from "../output.ts";
import { UsageError } from "../connection.ts";

interface InstallOptions {
  readonly port?: string;
  readonly start: boolean;
  readonly print?: boolean;
}

const UNIT = "/etc/systemd/system/fluxbase.service";
const ENV_FILE = "/etc/fluxbase/fluxbase.env";
const DATA_DIR = "/var/lib/fluxbase";
const SETTINGS =
  `# Settings of the server, one a line: docs/reference/settings.md. Secrets may be files: DATABASE_URL_FILE=/etc/fluxbase/database_url
FLUXBASE_SERVER_ADDRESS=127.0.0.1:8080
`;

export function addService(program: Command): void {
  const service = program.command("service").description("Run the server as a systemd service");
  service.command("install").description("Install, enable and start the service (as root)")
    .option("-p, --port <number>", "instead of 8080").option("--no-start", "only write it")
    .option("--print", "print the unit file without installing it")
    .action(withOptions<InstallOptions, []>((options) => install(options)));
  service.command("uninstall").description("Stop and remove the service; data and settings stay")
    .action(withOptions(() => {
      needRoot();
      systemctl("disable", "--now", "fluxbase");
      rmSync(UNIT, { force: true });
      systemctl("daemon-reload");
      say(`Removed ${UNIT}; data stays in ${DATA_DIR}, settings in ${ENV_FILE}`);
    }));
}

function install({ port, start, print: isShown }: InstallOptions): void {
  const program = realpathSync(process.argv[1] ?? "");
  const unit = unitOf({ node: process.execPath, program });
  if (isShown) return print(unit);
  needRoot();
  if (program.includes("/_npx/")) {
    throw new UsageError("npx keeps this command only temporarily: run `npm install --global fluxbase` first");
  }
  mkdirSync("/etc/fluxbase", { recursive: true, mode: 0o755 });
  if (!existsSync(ENV_FILE)) {
    const settings = port === undefined ? SETTINGS : SETTINGS.replace(":8080", `:${port}`);
    writeFileSync(ENV_FILE, settings, { mode: 0o600, flag: "wx" });
  } else if (port !== undefined) {
    warn(`${ENV_FILE} is there already: set FLUXBASE_SERVER_ADDRESS there instead of --port`);
  }
  writeFileSync(UNIT, unit, { mode: 0o644 });
  systemctl("daemon-reload");
  if (start) systemctl("enable", "--now", "fluxbase");
  say(`Wrote ${UNIT}${start ? ", and started it" : ""}; settings: ${ENV_FILE}`);
  say(`Keys: ${DATA_DIR}/.fluxbase/keys.env; log: journalctl -u fluxbase`);
}

function needRoot(): void {
  if (process.getuid?.() !== 0) throw new UsageError("Only root can change services: run it with sudo");
}

function systemctl(...args: string[]): void {
  const { status, error, stderr } = spawnSync("systemctl", args, { encoding: "utf8" });
  if (error !== undefined) throw new Error("Cannot run systemctl: this machine has no systemd");
  if (status !== 0) throw new Error(`systemctl ${args.join(" ")}: ${stderr.trim()}`);
}

const HOMES = /^\/(home|root)\//;

/** As root, so that each sandbox gets a user of its own; with no more of root's rights than that takes. */
export function unitOf({ node, program }: { readonly node: string; readonly program: string }): string {
  // What lies in a home has to be read.
  const isInHome = [node, program].some((path) => HOMES.test(path));
  return `[Unit]
Description=Fluxbase Edge Functions
Wants=network-online.target
After=network-online.target postgresql.service

[Service]
ExecStart=${node} ${program} start
WorkingDirectory=${DATA_DIR}
StateDirectory=fluxbase
StateDirectoryMode=0711
EnvironmentFile=-${ENV_FILE}
Restart=on-failure
RestartSec=1
# The server ends its sandboxes and the database itself; what is left after it goes at once.
KillMode=mixed
TimeoutStopSec=90
OOMPolicy=continue
LimitNOFILE=65536
TasksMax=infinity

# Users for sandboxes, and nothing else of root.
CapabilityBoundingSet=CAP_CHOWN CAP_DAC_OVERRIDE CAP_FOWNER CAP_KILL CAP_SETGID CAP_SETUID
NoNewPrivileges=yes
ProtectSystem=strict
ProtectHome=${isInHome ? "read-only" : "yes"}
PrivateTmp=yes
PrivateDevices=yes
ProtectClock=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectControlGroups=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX AF_NETLINK
RestrictNamespaces=yes
RestrictRealtime=yes
LockPersonality=yes
SystemCallArchitectures=native
# What the fences of sandboxes are made of comes on top of the usual.
SystemCallFilter=@system-service @pkey seccomp landlock_create_ruleset landlock_add_rule landlock_restrict_self

[Install]
WantedBy=multi-user.target
`;
}
