/**
 * What builds functions and helps editors: processes without the server's rights.
 *
 * @module
 */
import { startBundler } from "../bundler/bundler.ts";
import { countBuilds } from "../bundler/counted_builds.ts";
import { startLanguageService } from "../language/language_service.ts";
import { provideRuntimeFiles } from "../processes/runtime_files.ts";
import { makeRunDir } from "../sandbox/run_dir.ts";
import { chooseHome } from "../storage/embedded/run_as.ts";
import { type Base, ownName } from "./base.ts";
import { findFunctionsDir, readNpmrc } from "./functions_folder.ts";
import { chooseUids } from "./user_ids.ts";
import { join } from "node:path";

export type Builds = Awaited<ReturnType<typeof startBuilds>>;

export async function startBuilds({ config, log, clock, dataDir, parts }: Base) {
  const { limits } = config;
  const uids = chooseUids(config);
  const functionsDir = await findFunctionsDir(config);
  const buildsUid = uids?.first ?? null;
  const runDir = parts.use(await makeRunDir());
  const runtime = await provideRuntimeFiles(runDir.runtime, { uid: buildsUid });
  // What builds never has the server's rights: it has to reach the source by its own.
  const workDir = join(await chooseHome(dataDir, { uid: buildsUid, gid: buildsUid }), ownName("builds", config));
  const building = await startBundler({
    now: clock.nowMs,
    uid: buildsUid,
    runtime,
    workDir,
    bundleMaxBytes: limits.bundleBytes,
    bundlingMs: limits.bundlingMs,
    importHosts: config.importHosts,
    importMirrors: config.importMirrors,
    networkEnv: config.networkEnv,
    npmrc: await readNpmrc(config, functionsDir),
  });
  const bundler = parts.use(countBuilds(building, clock.nowMs));
  const language = parts.use(
    await startLanguageService({ uid: buildsUid, runtime, workDir, log, limits, now: clock.nowMs }),
  );
  return { uids, functionsDir, runDir, runtime, bundler, language };
}
