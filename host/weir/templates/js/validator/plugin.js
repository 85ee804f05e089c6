// Finds fault with every container image that is not pinned by a digest.

const decoder = new TextDecoder();

export function validate(objects, params) {
  const { allow = [], ...unknown } = JSON.parse(decoder.decode(params.config));
  for (const key of Object.keys(unknown)) {
    // What is thrown is the error of the function's WIT type: a text.
    throw `config: unknown key \`${key}\`; known: allow`;
  }
  const pinned = (image) => image.includes('@sha256:') || allow.some((prefix) => image.startsWith(prefix));
  const findings = [];
  objects.forEach((bytes, object) => {
    const { spec } = JSON.parse(decoder.decode(bytes));
    const job = spec?.jobTemplate?.spec;
    const pods = { '/spec': spec, '/spec/template/spec': spec?.template?.spec, '/spec/jobTemplate/spec/template/spec': job?.template?.spec };
    for (const [at, pod] of Object.entries(pods)) {
      for (const list of ['initContainers', 'containers']) {
        for (const [n, { image = '' }] of (pod?.[list] ?? []).entries()) {
          if (!pinned(image)) {
            findings.push({
              level: 'error',
              code: 'image-not-pinned',
              message: `the image "${image}" has no digest: pin it as NAME@sha256:...`,
              object,
              path: `${at}/${list}/${n}/image`,
            });
          }
        }
      }
    }
  });
  return findings;
}
