// Gives every object a label that says which team it belongs to.
import { write as log } from 'weir:plugin/log@0.1.0';

const decoder = new TextDecoder();
const encoder = new TextEncoder();

export function transform(objects, params) {
  const { team, ...unknown } = JSON.parse(decoder.decode(params.config));
  for (const key of Object.keys(unknown)) {
    fail('bad-config', `config: unknown key \`${key}\`; known: team`);
  }
  if (!team) {
    fail('bad-config', 'config.team is missing: say which team the app belongs to');
  }
  log('info', `${objects.length} objects of team ${team}`);
  return objects.map((bytes) => {
    const object = JSON.parse(decoder.decode(bytes));
    object.metadata.labels = { ...object.metadata.labels, team };
    return encoder.encode(JSON.stringify(object));
  });
}

// Ends the call with what a person is to know. What is thrown is the error of the function's WIT type: a list.
function fail(code, message, path, line) {
  throw [{ level: 'error', code, message, path, line }];
}
