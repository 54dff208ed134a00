/** Every address of the console, spelled once. */
export const paths = {
  devices: '/devices',
  device: '/devices/$deviceId',
  templates: '/templates',
  template: '/templates/$templateId',
  manifests: '/manifests',
  connect: '/connect',
  health: '/admin/health',
  signIn: '/sign-in',
} as const
