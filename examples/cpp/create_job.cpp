// The two samples of the reference page "Creating a Job", unchanged between the lines of dashes.
//
// create_job [--keep]     without --keep the job is cancelled in the end
#include <stdio.h>
#include <string.h>
#include <windows.h>
#include <bits.h>

static IBackgroundCopyManager *g_pbcm = NULL;

static IBackgroundCopyJob *CreateTheJob()
{
// --------------------------------------------------------------------------
HRESULT hr;
GUID JobId;
IBackgroundCopyJob* pJob = NULL;

//To create an upload job, replace BG_JOB_TYPE_DOWNLOAD with 
//BG_JOB_TYPE_UPLOAD or BG_JOB_TYPE_UPLOAD_REPLY.
hr = g_pbcm->CreateJob(L"MyJobName", BG_JOB_TYPE_DOWNLOAD, &JobId, &pJob);
if (SUCCEEDED(hr))
{
  //Save the JobId for later reference. 
  //Modify the job's property values.
  //Add files to the job.
  //Activate (resume) the job in the transfer queue.
}
// --------------------------------------------------------------------------
  if (SUCCEEDED(hr))
  {
    WCHAR text[39];
    StringFromGUID2(JobId, text, 39);
    wprintf(L"%ls\n", text);
  }
  return pJob;
}

static IBackgroundCopyJob4 *LatestInterface(IBackgroundCopyJob* pJob)
{
// --------------------------------------------------------------------------
  HRESULT hr = S_OK;
  IBackgroundCopyJob4* pJob4 = NULL;

  hr = pJob->QueryInterface(__uuidof(IBackgroundCopyJob4), (void**)&pJob4);
  pJob->Release();
  if (FAILED(hr))
  {
    wprintf(L"pJob->QueryInterface failed with 0x%x.\n", hr);
    goto cleanup;
  }
// --------------------------------------------------------------------------
cleanup:
  return pJob4;
}

int main(int argc, char **argv)
{
  HRESULT hr = CoInitializeEx(NULL, COINIT_APARTMENTTHREADED);
  if (SUCCEEDED(hr))
  {
    hr = CoCreateInstance(__uuidof(BackgroundCopyManager), NULL, CLSCTX_LOCAL_SERVER,
                          __uuidof(IBackgroundCopyManager), (void**)&g_pbcm);
  }
  if (FAILED(hr))
  {
    wprintf(L"The service cannot be reached: 0x%x.\n", hr);
    return 1;
  }
  int result = 1;
  IBackgroundCopyJob* pJob = CreateTheJob();
  IBackgroundCopyJob4* pJob4 = pJob != NULL ? LatestInterface(pJob) : NULL;
  if (pJob4 != NULL)
  {
    ULONG seconds = 0;
    hr = pJob4->GetMaximumDownloadTime(&seconds);
    wprintf(L"It may take %u s.\n", seconds);
    if (SUCCEEDED(hr) && (argc < 2 || strcmp(argv[1], "--keep") != 0))
    {
      hr = pJob4->Cancel();
    }
    result = hr == S_OK ? 0 : 1;
    pJob4->Release();
  }
  g_pbcm->Release();
  CoUninitialize();
  return result;
}
