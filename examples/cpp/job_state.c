/* The same interfaces from C: prints the state of one job.
 *
 * job_state {GUID}
 */
#define COBJMACROS
#include <openbits/bits.h>

#include <stdio.h>

int main(int argc, char **argv) {
    IBackgroundCopyManager *manager = NULL;
    IBackgroundCopyJob *job = NULL;
    BG_JOB_STATE state;
    WCHAR text[39];
    GUID id;
    HRESULT hr;
    size_t i;
    for (i = 0; i < 39; i++) { /* ASCII, so each character is itself */
        text[i] = argc == 2 && i <= strlen(argv[1]) ? (WCHAR)argv[1][i] : 0;
        if (text[i] == 0) {
            break;
        }
    }
    if (i != 38 || FAILED(CLSIDFromString(text, &id))) {
        fprintf(stderr, "usage: job_state {GUID}\n");
        return 2;
    }
    hr = CoCreateInstance(&CLSID_BackgroundCopyManager, NULL, CLSCTX_LOCAL_SERVER, &IID_IBackgroundCopyManager,
                          (void **)&manager);
    if (SUCCEEDED(hr)) {
        hr = IBackgroundCopyManager_GetJob(manager, &id, &job);
        IBackgroundCopyManager_Release(manager);
    }
    if (SUCCEEDED(hr)) {
        hr = IBackgroundCopyJob_GetState(job, &state);
        IBackgroundCopyJob_Release(job);
    }
    if (FAILED(hr)) {
        fprintf(stderr, "0x%08X\n", (unsigned)hr);
        return hr == BG_E_NOT_FOUND ? 3 : 1;
    }
    printf("%d\n", (int)state);
    return 0;
}
