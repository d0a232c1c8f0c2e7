/* What Windows has and Wine 8 has not: the random bytes that Rust's library asks for, from where Wine has them. */
unsigned char __stdcall SystemFunction036(void *bytes, unsigned long length);
__declspec(dllexport) int __stdcall ProcessPrng(unsigned char *bytes, unsigned long long length) { return SystemFunction036(bytes, (unsigned long)length); }
