export const labels = (app, name) => ({ "app.kubernetes.io/name": name, "app.kubernetes.io/part-of": app });

export function container(name, { image, port, memory = "128Mi" }, registry) {
  return {
    name,
    image: `${registry}/${image}`,
    ports: [{ containerPort: port }],
    resources: { limits: { memory } },
  };
}
