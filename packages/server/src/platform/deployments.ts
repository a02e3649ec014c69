/**
 * What makes versions of functions: requests, the functions folder, changes of shared modules.
 *
 * @module
 */
import type { Catalog } from "../catalog/catalog.ts";
import { createDeployer } from "../deploy/deploy.ts";
import { createRebuilder } from "../deploy/rebuild.ts";
import { createSharedModules } from "../deploy/shared_modules.ts";
import { createFunctionsFolder } from "../files/folder.ts";
import { createLoader } from "../files/load.ts";
import { keepFolder } from "../files/owner.ts";
import { watchFunctionsDir } from "../files/watch.ts";
import type { EnvStore } from "../secrets/env_store.ts";
import type { Base } from "./base.ts";
import type { Builds } from "./builds.ts";
import type { Databases } from "./databases.ts";
import type { Duties } from "./duties.ts";
import { loadOnBoot } from "./functions_folder.ts";

export type Deployments = Awaited<ReturnType<typeof startDeployments>>;

interface Needs {
  readonly catalog: Catalog;
  readonly envStore: EnvStore;
}

export async function startDeployments(
  { config, log, clock, parts }: Base,
  { db, audit, bundler, functionsDir, nodes, catalog, envStore }: Needs & Databases & Builds & Duties,
) {
  const { limits } = config;
  const sharedModules = createSharedModules({ db });
  const deployer = createDeployer({ db, catalog, bundler, envStore, sharedModules, limits });
  const rebuilder = parts.use(createRebuilder({ deployer, sharedModules, log }));
  const folder = functionsDir === null ? undefined : createFunctionsFolder({ dir: functionsDir, db, deployer, log });
  const loader = functionsDir === null || folder === undefined
    ? undefined
    : parts.use(createLoader({ audit, dir: functionsDir, db, folder, deployer, sharedModules, rebuilder, clock, log }));
  const folderLease = functionsDir === null ? undefined : await nodes.lease("functions folder");
  return { sharedModules, deployer, rebuilder, folder, loader, folderLease };
}

/** Begins to follow the functions folder, and goes on with what a server left behind that ended in the middle of it. */
export async function followFolder(
  { config, log, parts }: Base,
  { functionsDir, loader, folderLease, rebuilder }: Builds & Deployments,
): Promise<void> {
  if (loader !== undefined && functionsDir !== null && folderLease !== undefined) {
    parts.use(
      await keepFolder({
        lease: folderLease,
        dir: functionsDir,
        log,
        load: () => config.autoLoadOnBoot ? loadOnBoot(loader, log) : Promise.resolve(),
        watch: () => config.watch ? watchFunctionsDir(functionsDir, { loader, log }) : undefined,
      }),
    );
  }
  await rebuilder.start();
}
