// Python in the page's own worker: Pyodide, the packages of its lock file, and the course.
"use strict";

let run;

async function start({ folder, packages }) {
  importScripts(`${folder}pyodide.js`);
  const python = await loadPyodide({
    indexURL: folder,
    lockFileURL: `${folder}lock.json`,
    packages,
    env: { MPLBACKEND: "agg", HOME: "/course" },
  });
  const missing = packages.filter((name) => !(name in python.loadedPackages));
  if (missing.length) throw new Error(`${missing.join(", ")} could not be loaded`);
  const course = await fetch(`${folder}course.zip`);
  python.unpackArchive(await course.arrayBuffer(), "zip", { extractDir: "/course" });
  python.runPython(await (await fetch(`${folder}bridge.py`)).text());
  run = python.globals.get("run");
}

self.onmessage = async ({ data }) => {
  try {
    if (data.folder) await start(data);
    const outputs = data.code === undefined ? [] : JSON.parse(run(data.code));
    postMessage({ outputs });
  } catch (error) {
    postMessage({ failed: String(error.message ?? error) });
  }
};
