/* Loaded before torch, by LD_PRELOAD, in place of libcuda: torch's C++ sees as many CUDA devices as it is told, and a
   driver that has no context anywhere. Autograd asks for the devices before a backward pass, and for nothing else. */
static signed char devices = 0;
void set_fake_cuda_devices(int count) { devices = (signed char)count; }
signed char _ZN3c104cuda12device_countEv(void) { return devices; } /* c10::cuda::device_count() */
signed char _ZN3c104cuda28device_count_ensure_non_zeroEv(void) { return devices; }
int cuDevicePrimaryCtxGetState(int device, unsigned *flags, int *active) {
    (void)device;
    *flags = 0;
    *active = 0;
    return 0;
}
#define NO_DEVICE(name) int name(void) { return 100; } /* CUDA_ERROR_NO_DEVICE */
NO_DEVICE(cuCtxGetCurrent) NO_DEVICE(cuCtxSetCurrent) NO_DEVICE(cuDeviceGet) NO_DEVICE(cuDeviceGetAttribute)
NO_DEVICE(cuDevicePrimaryCtxRetain) NO_DEVICE(cuFuncGetAttribute) NO_DEVICE(cuFuncSetAttribute)
NO_DEVICE(cuFuncSetCacheConfig) NO_DEVICE(cuGetErrorString) NO_DEVICE(cuLaunchCooperativeKernel)
NO_DEVICE(cuLaunchKernel) NO_DEVICE(cuLinkAddData_v2) NO_DEVICE(cuLinkComplete) NO_DEVICE(cuLinkCreate_v2)
NO_DEVICE(cuModuleGetFunction) NO_DEVICE(cuModuleLoad) NO_DEVICE(cuModuleLoadData) NO_DEVICE(cuModuleLoadDataEx)
NO_DEVICE(cuModuleUnload) NO_DEVICE(cuOccupancyMaxActiveBlocksPerMultiprocessor) NO_DEVICE(cuPointerGetAttribute)
NO_DEVICE(cuTensorMapEncodeTiled)
