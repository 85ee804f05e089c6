// Makes a component of a JavaScript module. Run by `weir plugin build` with the project's own componentize-js.
import { writeFile } from 'node:fs/promises';
import { componentize } from '@bytecodealliance/componentize-js';

const [sourcePath, witPath, worldName, out] = process.argv.slice(1);
// What a plugin may not have anyway. The log of errors stays, so that one says why.
const disableFeatures = ['http', 'fetch-event', 'random', 'clocks'];
const { component } = await componentize({ sourcePath, witPath, worldName, disableFeatures });
await writeFile(out, component);
