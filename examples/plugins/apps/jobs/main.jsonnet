local lib = import 'jobs.libsonnet';
local image(name) = '%s/shop/%s:1.4' % [std.extVar('registry'), name];

function(jobs) {
  [name]: lib.cron(name, jobs[name], image(name))
  for name in std.objectFields(jobs)
}
