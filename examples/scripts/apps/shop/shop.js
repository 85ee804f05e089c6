import { container, labels } from "./lib.js";

export function render({ app, values }, files) {
  const services = yaml.parse(files.read("services.yaml"));
  return Object.entries(services).flatMap(([name, service]) => {
    const matchLabels = labels(app, name);
    return [
      {
        apiVersion: "apps/v1",
        kind: "Deployment",
        metadata: { name, labels: matchLabels },
        spec: {
          replicas: service.replicas ?? 1,
          selector: { matchLabels },
          template: {
            metadata: { labels: matchLabels },
            spec: { containers: [container(name, service, values.registry)] },
          },
        },
      },
      {
        apiVersion: "v1",
        kind: "Service",
        metadata: { name, labels: matchLabels },
        spec: { selector: matchLabels, ports: [{ port: 80, targetPort: service.port }] },
      },
    ];
  });
}
