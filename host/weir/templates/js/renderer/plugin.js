// Makes one ConfigMap of the files in the app's folder `files`.
import { entries, read } from 'weir:plugin/tree@0.1.0';

const decoder = new TextDecoder('utf-8', { fatal: true });
const encoder = new TextEncoder();

export function render(params) {
  const { name = params.app, ...unknown } = JSON.parse(decoder.decode(params.config));
  for (const key of Object.keys(unknown)) {
    fail('bad-config', `config: unknown key \`${key}\`; known: name`);
  }
  const dir = params.path ? `${params.path}/files` : 'files';
  const data = {};
  for (const entry of list(dir)) {
    if (entry.kind === 'file') {
      data[entry.name] = text(`${dir}/${entry.name}`);
    }
  }
  const object = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name }, data };
  return [{ origin: dir, body: encoder.encode(JSON.stringify(object)) }];
}

function list(dir) {
  try {
    return entries(dir);
  } catch {
    fail('no-files', 'there is no such folder: put the files of the ConfigMap there', dir);
  }
}

function text(path) {
  const bytes = read(path);
  try {
    return decoder.decode(bytes);
  } catch {
    fail('not-text', 'the file is not UTF-8: leave it out', path);
  }
}

// Ends the call with what a person is to know. What is thrown is the error of the function's WIT type: a list.
function fail(code, message, path, line) {
  throw [{ level: 'error', code, message, path, line }];
}
