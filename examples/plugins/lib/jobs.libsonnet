// What every job of this repository has.
{
  cron(name, schedule, image):: {
    apiVersion: 'batch/v1',
    kind: 'CronJob',
    metadata: { name: name },
    spec: {
      schedule: schedule,
      concurrencyPolicy: 'Forbid',
      jobTemplate: { spec: { template: { spec: {
        restartPolicy: 'Never',
        containers: [{ name: name, image: image, resources: { limits: { memory: '64Mi' }, requests: { cpu: '50m' } } }],
      } } } },
    },
  },
}
