import react from '@vitejs/plugin-react'
import { defineConfig } from 'vite'

// The bundle is embedded in the `tidegate` program and served from its root.
export default defineConfig({
  plugins: [react()],
  build: { target: 'es2022', sourcemap: false },
  server: {
    // `npm run dev` against a Central that runs beside it.
    proxy: { '/api': { target: 'https://localhost:8443', secure: false } },
  },
})
